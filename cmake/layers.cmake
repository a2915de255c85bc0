# SPDX-License-Identifier: MIT
# How a layer, its test and any other program is built. A layer is a static target shoal_NAME that links only the layers
# it names under DEPENDS, which must stand to its left in SHOAL_LAYERS. Its test binary links the WHOLE layer and no
# other, so a call up, or into a layer not named, leaves an undefined symbol there.

set(SHOAL_LAYERS base segment process transaction types keyspace channels queues persist script commands client)

find_package(Threads REQUIRED)
find_path(SHOAL_BOOST_INCLUDE boost/interprocess/mapped_region.hpp REQUIRED DOC "Boost headers (Debian: libboost-dev)")

# What every target of ours is compiled with.
add_library(shoal_options INTERFACE)
target_compile_features(shoal_options INTERFACE cxx_std_20)
target_include_directories(shoal_options INTERFACE "${PROJECT_SOURCE_DIR}/lib" "${PROJECT_SOURCE_DIR}/lib/include")
target_include_directories(shoal_options SYSTEM INTERFACE "${SHOAL_BOOST_INCLUDE}")
target_compile_options(shoal_options INTERFACE -Wall -Wextra $<$<BOOL:${SHOAL_WERROR}>:-Werror>)
target_compile_definitions(shoal_options INTERFACE
  SHOAL_VERSION="${PROJECT_VERSION}" $<$<BOOL:${SHOAL_LOCKED_READS}>:SHOAL_LOCKED_READS=1>)
target_link_libraries(shoal_options INTERFACE Threads::Threads rt)
if(SHOAL_SANITIZE)
  set(sanitizer_flags -fsanitize=${SHOAL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(shoal_options INTERFACE ${sanitizer_flags})
  target_link_options(shoal_options INTERFACE ${sanitizer_flags})
endif()
if(SHOAL_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

# A folder takes part in the build from the moment that it has a CMakeLists.txt.
function(shoal_add_folder folder)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt")
    add_subdirectory(${folder})
  endif()
endfunction()

# shoal_add_layer(NAME SOURCES a.cc ... DEPENDS base ... [LINK other ...])
function(shoal_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;LINK")
  list(FIND SHOAL_LAYERS ${name} own_place)
  if(own_place EQUAL -1)
    message(FATAL_ERROR "layer ${name} has no place in SHOAL_LAYERS")
  endif()
  set(below shoal_options ${arg_LINK})
  foreach(dependency IN LISTS arg_DEPENDS)
    list(FIND SHOAL_LAYERS ${dependency} place)
    if(place EQUAL -1 OR NOT place LESS own_place)
      message(FATAL_ERROR "layer ${name} may not depend on ${dependency}: the order is ${SHOAL_LAYERS}")
    endif()
    if(NOT TARGET shoal_${dependency})
      message(FATAL_ERROR "layer ${name} depends on ${dependency}, which lib/${dependency} does not define")
    endif()
    list(APPEND below shoal_${dependency})
  endforeach()
  set(compiled ${arg_SOURCES})
  list(FILTER compiled INCLUDE REGEX "\\.cc$")
  if(compiled)
    add_library(shoal_${name} STATIC ${arg_SOURCES})
    set_target_properties(shoal_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(shoal_${name} PUBLIC ${below})
  else()
    add_library(shoal_${name} INTERFACE)
    target_link_libraries(shoal_${name} INTERFACE ${below})
  endif()
endfunction()

# shoal_link_all_layers(TARGET): every layer there is, and all of each, for programs and the extension: a layer may hand
# an interface to a lower one when it is loaded, and the linker must not leave out a file that nobody calls by name.
function(shoal_link_all_layers target)
  foreach(layer IN LISTS SHOAL_LAYERS)
    if(TARGET shoal_${layer})
      shoal_link_whole(${target} shoal_${layer})
    endif()
  endforeach()
endfunction()

# All objects of a layer go into the target, whether anybody calls them or not.
function(shoal_link_whole target layer)
  target_link_libraries(${target} PRIVATE ${layer})
  get_target_property(kind ${layer} TYPE)
  if(kind STREQUAL "STATIC_LIBRARY")
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${layer}>)
  endif()
endfunction()

# shoal_add_test(NAME SOURCES a_test.cc ... LINK shoal_x ... [LABELS unit] [TIMEOUT seconds])
# A GoogleTest binary, each of its tests a ctest of its own. Includes are found from lib/ and tests/.
function(shoal_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LINK;LABELS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE SHOAL_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_LINK} shoal_options GTest::gtest GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()

# shoal_add_layer_test(LAYER [LINK more ...]): tests/unit/LAYER/*_test.cc become shoal_LAYER_test.
function(shoal_add_layer_test layer)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/${layer}/*.cc")
  if(NOT SHOAL_TESTS OR NOT sources OR TARGET shoal_${layer}_test)
    return()
  endif()
  shoal_add_test(shoal_${layer}_test SOURCES ${sources} LINK ${arg_LINK} LABELS unit)
  shoal_link_whole(shoal_${layer}_test shoal_${layer})
endfunction()
